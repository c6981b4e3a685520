"""The rule of `make lint` about imports, calls and addresses finds what it is for, and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

offences = runpy.run_path(str(Path(__file__).parents[3] / "infra/lint/forbidden.py"))["offences"]


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import joblib.numpy_pickle",
        "from cloudpickle import loads",
        "torch.load(path)",
        "eval(text)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "server.bind(('0.0.0.0', 80))",
        'command = ["mlflow", "server", "--host", address]',
    ],
)
def test_an_offence_is_found_on_its_line(text: str) -> None:
    assert [line for line, _ in offences(f"x = 1\n{text}\n")] == [2]


def test_one_file_opens_weights_of_packages_without_their_code() -> None:
    file = "components/pretrained/packages.py"
    assert list(offences("torch.load(path, weights_only=True)", file)) == []
    assert len(list(offences("torch.load(path)", file))) == 1
    assert len(list(offences("torch.load(path, weights_only=True)", "components/other.py"))) == 1


def test_what_is_allowed_is_no_offence() -> None:
    text = """
_HOST = "127.0.0.1"
command = ["mlflow", "server", "--host", _HOST]
model = AutoModel.from_pretrained(name, trust_remote_code=False)
rows = np.load(path, allow_pickle=False)
values = yaml.load(text, Loader=_Loader)
pattern = re.compile("a")
"""
    assert list(offences(text)) == []
