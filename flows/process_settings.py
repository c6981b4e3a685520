"""Settings of a process: environment variables that libraries read as they are imported, and its logs."""

import os

from components.redaction import guard_logs

_DEFAULTS = {
    # Nothing is sent anywhere.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # The terminal shows braid's own progress; the full log goes to the Prefect API.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "INFO",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is what --json prints
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # jobs evaluate chat models: eight processes for nothing
    "GIT_PYTHON_REFRESH": "quiet",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
    "PYTHONSAFEPATH": "1",  # processes started from here import nothing from the working directory
    # Workers are forked from a process that has looked for a GPU, and that look must not begin to use it.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    # glibc gives large buffers back to the kernel at every step, and a third of a convolution step
    # is then page faults; workers started from here keep them.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
}

_NO_PROXY = ("no_proxy", "NO_PROXY")  # libraries read the one or the other
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def configure_process() -> None:
    """Set what libraries read as they are imported, and redact what this process logs.

    Every entry point calls this in its ``main()``, before it imports prefect, mlflow or torch. Processes that
    it starts inherit the variables. What the user has set in the environment stays. Once is enough.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    _keep_this_machine_direct()
    guard_logs()


def _keep_this_machine_direct() -> None:
    """Except this machine from the proxies of the environment, as braid's own servers listen there."""
    variables = {name.lower() for name, value in os.environ.items() if value}
    if not any(name.endswith("_proxy") and name != "no_proxy" for name in variables):
        return  # where the system names the proxies, an exception alone would replace its settings
    given = ",".join(os.environ.get(name, "") for name in _NO_PROXY)
    hosts = dict.fromkeys(host.strip() for host in given.split(",") if host.strip())
    exceptions = "*" if "*" in hosts else ",".join(dict.fromkeys([*hosts, *_THIS_MACHINE]))
    os.environ.update(dict.fromkeys(_NO_PROXY, exceptions))
