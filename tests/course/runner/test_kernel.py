"""The environment of notebooks, and the advice where memory ran out; other ways to fail are in test_failures.py."""

import os

import pytest

from course.runner import kernel
from course.runner.kernel import Failure, memory_advice

PARAMETERS = {"dataset": "scenes15", "batch_size": 64, "image_size": 224, "n_train": 6000, "n_test": 1000, "seed": 7}
OUT_OF_MEMORY = [
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 7.79 GiB",
    "ResourceExhaustedError: Graph execution error:",
    "InternalError: OOM when allocating tensor with shape[4096,4096] on /device:GPU:0",
    "RuntimeError: CUDA error: out of memory",
    "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory",
    "MemoryError: std::bad_alloc",
    "_ArrayMemoryError: Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)",
    kernel.how_it_died(-9),
]


@pytest.mark.parametrize("cause", OUT_OF_MEMORY)
def test_whatever_says_that_memory_ran_out_gets_the_parameters_to_lower(cause):
    advice = memory_advice(cause, PARAMETERS)
    assert advice == (
        "too little memory: lower batch_size (now 64), image_size (now 224), n_train (now 6000) or n_test (now 1000), "
        "for example with -p batch_size=32"
    )


@pytest.mark.parametrize(
    "cause",
    ["ZeroDivisionError: division by zero", "RuntimeError: CUDA error: device-side assert triggered"]
    + [kernel.how_it_died(status) for status in (-11, -6, 1)],
)
def test_another_cause_gets_no_advice(cause):
    assert memory_advice(cause, PARAMETERS) == ""
    assert kernel.with_advice(Failure(cause, 3, "x = 1"), PARAMETERS) == Failure(cause, 3, "x = 1")


def test_the_advice_joins_the_cause_and_leaves_the_place_alone():
    failure = kernel.with_advice(Failure("MemoryError: x", 4, "y", "trace"), {"n_train": 10})
    assert str(failure) == (
        "cell [4] `y`: MemoryError: x -- too little memory: lower n_train (now 10), for example with -p n_train=5"
    )
    assert failure.trace == "trace"


def test_only_whole_numbers_above_one_that_bound_memory_are_named():
    parameters = {"batch_size": 1, "mining_batch_size": True, "size": 0.5, "n_photos": "all", "code_size": 100, "n": 9}
    assert memory_advice("MemoryError", parameters) == (
        "too little memory, and none of its parameters bounds it: a machine with more is needed"
    )


def test_batches_come_first_then_sides_then_the_largest_counts():
    parameters = {f"n_{letter}": 10 + i for i, letter in enumerate("abcdef")} | {"mask_size": 96, "best_batch": 512}
    advice = memory_advice("MemoryError", parameters)
    names = [word for word in advice.replace(" or ", ", ").replace("lower ", ", ").split(", ") if "(now" in word]
    assert names == ["best_batch (now 512)", "mask_size (now 96)", "n_f (now 15)", "n_e (now 14)", "n_d (now 13)"]


@pytest.mark.parametrize(
    ("status", "words"), [(-11, "SIGSEGV: a crash in a library"), (-6, "SIGABRT"), (0, "status 0"), (None, "os._exit")]
)
def test_the_exit_status_of_a_kernel_says_how_it_died(status, words):
    assert words in kernel.how_it_died(status)
    assert "the kernel died" in kernel.how_it_died(status)


def test_figures_are_shown_whatever_backend_the_user_has_set(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    assert kernel.prepare(tmp_path)["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"


def test_waiting_threads_soon_sleep_unless_the_user_wants_it_otherwise(tmp_path, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert kernel.prepare(tmp_path)["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in kernel.prepare(tmp_path)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert kernel.prepare(tmp_path)["GOMP_SPINCOUNT"] == "7"


def test_freed_memory_is_kept_unless_the_user_wants_it_otherwise(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    assert int(kernel.prepare(tmp_path)["MALLOC_TOP_PAD_"]) == 256 * 1024**2
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert [name for name in kernel.prepare(tmp_path) if name.startswith("MALLOC_")] == ["MALLOC_ARENA_MAX"]


def test_a_log_that_is_gone_does_no_harm_to_the_verdict(tmp_path, monkeypatch):
    (tmp_path / "program.py").write_text("""print('{"failure": null}')""")
    monkeypatch.setattr(kernel, "__file__", str(tmp_path / "program.py"))
    log = tmp_path / "log"
    assert kernel.execute_apart({}, None, tmp_path, log, lambda process: log.unlink(), print) is None
