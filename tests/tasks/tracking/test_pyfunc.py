"""Each served model runs the code that is stored with it, also beside others in one process."""

import sys
from pathlib import Path

import mlflow
import pandas as pd

import components
from tasks.tracking import pyfunc

PREDICTOR = """
from components.answer import ANSWER
class Predictor:
    columns = ["x"]
    def __init__(self, bundle): ...
    def predict(self, table, inputs, explain):
        return table.assign(answer=ANSWER)
"""


def _saved(folder: Path, answer: str) -> str:
    code = folder / "source" / "components"
    (code / "inference").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "errors.py": "class BraidError(Exception): ...",
        "answer.py": f"ANSWER = {answer!r}",
        "inference/__init__.py": "",
        "inference/predictor.py": PREDICTOR,
    }.items():
        (code / name).write_text(text, "utf-8")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "model.json").write_text("{}", "utf-8")
    mlflow.pyfunc.save_model(
        str(folder / "model"),
        python_model=str(Path(pyfunc.__file__)),
        artifacts={"bundle": str(folder / "bundle")},
        code_paths=[str(code)],
        pip_requirements=["mlflow"],
    )
    return str(folder / "model")


def test_two_models_of_one_process_have_each_its_own_code(tmp_path: Path) -> None:
    before = list(sys.path)
    try:
        models = [mlflow.pyfunc.load_model(_saved(tmp_path / name, name)) for name in ("old", "new")]
        table = pd.DataFrame({"x": [1]})
        assert [model.predict(table)["answer"].item() for model in models] == ["old", "new"]
        assert sys.modules["components"] is components
    finally:
        sys.path[:] = before
