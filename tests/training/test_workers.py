import contextvars
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch
from pydantic import ValidationError

from models.errors import DataError, RunError, Stopped
from tasks.training.compute_spec import ComputeSpec
from tasks.training.layout import Layout, in_turn, lay_out
from tasks.training.orders import carry_out
from tasks.training.workers import InProcess, Processes, current, hired
from tests.training.worker_orders import made_orders, moved, same_fit

HOME = Path(__file__).parents[2]


@pytest.fixture
def orders(tmp_path):
    return made_orders(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same orders carried out by this process, on a root of their own."""
    return [carry_out(order) for order in made_orders(tmp_path_factory.mktemp("undisturbed"))]


@pytest.fixture(scope="module")
def two():
    pool = Processes(2, gpus=("4", "GPU-7"))
    yield pool
    pool.close()


def ignore(row):
    pass


def test_two_processes_and_this_one_give_the_same_bits(two, orders, undisturbed):
    with ThreadPoolExecutor(2) as threads:
        fits = list(threads.map(lambda order: two.fit(order, ignore), orders))
    assert len(set(two.pids)) == 2
    shown = [psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] for pid in two.pids]
    assert shown == ["4", "GPU-7"]
    assert all(map(same_fit, fits, undisturbed))
    assert not same_fit(fits[0], fits[1]), "two seeds gave one fit: nothing was compared"


def test_the_threads_of_the_caller_decide_nothing(orders, undisturbed):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit = InProcess().fit(orders[0], ignore)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert same_fit(fit, undisturbed[0])


@pytest.mark.parametrize("where", ["in this process", "in a worker"])
def test_every_epoch_is_heard_in_the_thread_that_asked(two, orders, where):
    order = orders[0]
    pool = two if where == "in a worker" else InProcess()
    heard = []
    pool.fit(order, lambda row: heard.append((row.epoch, threading.get_ident())))
    epochs = list(range(1, order.most_epochs + 1))
    assert heard == [(epoch, threading.get_ident()) for epoch in epochs]
    assert pool.progress[order.key] == 1.0


def test_what_a_fit_raises_in_a_worker_is_raised_here_and_the_worker_goes_on(two, orders):
    lost = orders[0].features.model_copy(update={"uri": "artifacts/features/gone", "sha256": "x"})
    with pytest.raises(DataError, match=r"features/gone.*frame\.parquet") as caught:
        two.fit(moved(orders[0], features=lost), ignore)
    assert "carry_out" in "".join(caught.value.__notes__), "nobody can tell where it came from"
    before = set(two.pids)
    assert two.fit(orders[0], ignore).best_epoch
    assert set(two.pids) == before


def test_a_killed_worker_is_named_and_the_fit_goes_on_after_its_last_epoch(
    two, orders, undisturbed
):
    order, heard = orders[0], []

    def kill_all(row):
        heard.append(row.epoch)
        for pid in two.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a signal is not at once the end

    with pytest.raises(RunError, match=r"fold 0 with seed 0 .*killed by SIGKILL.*run the command"):
        two.fit(order, kill_all)
    assert heard == [1]
    assert (order.work / "checkpoint.safetensors").exists()
    again = two.fit(order, lambda row: heard.append(row.epoch))
    assert heard == [1, 2, 3], "the first epoch was fitted again"
    assert same_fit(again, undisturbed[0])


def test_a_stopped_fit_keeps_a_checkpoint_and_no_other_begins(orders, undisturbed):
    order, other, _ = orders
    one = Processes(1)
    try:
        with pytest.raises(Stopped):
            one.fit(order, lambda row: one.stop())
        with pytest.raises(Stopped, match="before this fit began"):
            one.fit(other, ignore)
    finally:
        one.close()
    assert not one.pids
    assert (order.work / "checkpoint.safetensors").exists()
    assert not other.work.exists()
    assert same_fit(carry_out(order), undisturbed[0])


def test_a_fit_in_this_process_is_stopped_likewise(orders, undisturbed):
    order, other, _ = orders
    here = InProcess()
    with pytest.raises(Stopped):
        here.fit(order, lambda row: here.stop())
    assert (order.work / "checkpoint.safetensors").exists()
    with pytest.raises(Stopped):
        here.fit(other, ignore)
    assert same_fit(carry_out(order), undisturbed[0])


def test_a_caller_that_fails_while_it_hears_leaves_no_answer_to_the_next_order(
    two, orders, undisturbed
):
    def fail(row):
        raise OverflowError("heard enough")

    with pytest.raises(OverflowError):
        two.fit(orders[0], fail)
    # One after another, so that both workers have their turn.
    assert all(same_fit(two.fit(orders[i], ignore), undisturbed[i]) for i in (1, 2))


def test_a_worker_ends_with_a_parent_that_is_killed(tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.training.worker_orders", str(tmp_path)],
        cwd=HOME,
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = psutil.Process(int(parent.stdout.readline()))
    assert worker.is_running()
    parent.kill()
    parent.communicate()
    assert not psutil.wait_procs([worker], timeout=30)[1], "the worker outlived its parent"


def test_workers_take_the_gpus_in_turn():
    shown = [variables["CUDA_VISIBLE_DEVICES"] for variables in in_turn(3, ("4", "GPU-7"))]
    assert shown == ["4", "GPU-7", "4"]
    assert in_turn(2, ()) == [{}, {}], "a worker without GPUs must see what its parent sees"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_processes_and_this_one_give_the_same_bits_on_a_gpu(tmp_path):
    here = [moved(order, device="cuda") for order in made_orders(tmp_path / "here")]
    there = [moved(order, device="cuda") for order in made_orders(tmp_path / "there")]
    with hired(Layout("process", 2, ("0",))) as pool, ThreadPoolExecutor(2) as threads:
        fits = list(threads.map(lambda order: pool.fit(order, ignore), there))
    assert all(map(same_fit, fits, [InProcess().fit(order, ignore) for order in here]))


def test_those_hired_are_found_by_threads_of_the_context_and_leave_with_it():
    assert type(current()) is InProcess
    with hired(Layout("process", 2)) as pool:
        context = contextvars.copy_context()
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(context.run, current).result() is pool
            assert type(threads.submit(current).result()) is InProcess
    assert type(current()) is InProcess


LONG = 10**9


@pytest.mark.parametrize(
    ("chosen", "fits", "bars", "cores", "gpus", "expected"),
    [
        ({}, 12, LONG, 8, None, Layout("process", 8)),
        ({}, 3, LONG, 8, None, Layout("process", 3)),
        ({"threads": 2}, 12, LONG, 8, None, Layout("process", 4)),
        ({"processes": 5}, 12, LONG, 8, None, Layout("process", 5)),
        ({"processes": 1}, 12, LONG, 8, None, Layout("in_process", 1)),
        ({}, 1, LONG, 8, None, Layout("in_process", 1)),
        ({}, 12, LONG, 1, None, Layout("in_process", 1)),
        ({}, 12, 1000, 8, None, Layout("in_process", 1)),
        ({}, 12, LONG, 8, ["0"], Layout("in_process", 1, ("0",))),
        ({}, 12, 1000, 8, ["0", "1"], Layout("process", 2, ("0", "1"))),
        ({"processes": 4}, 12, LONG, 8, ["0", "1"], Layout("process", 4, ("0", "1"))),
        ({"runner": "process"}, 12, 1000, 8, ["0"], Layout("process", 1, ("0",))),
        ({"runner": "process"}, 1, 1000, 8, None, Layout("process", 1)),
        ({"runner": "in_process"}, 12, LONG, 8, None, Layout("in_process", 1)),
        ({"runner": "dask"}, 12, LONG, 8, None, Layout("dask", 8)),
        ({"runner": "ray", "processes": 2}, 12, LONG, 8, None, Layout("ray", 2)),
    ],
)
def test_who_carries_out_the_fits(chosen, fits, bars, cores, gpus, expected):
    assert lay_out(ComputeSpec(**chosen), fits, bars, cores, gpus) == expected


@pytest.mark.parametrize("runner", ["auto", "process", "in_process"])
def test_an_address_without_a_cluster_is_refused(runner):
    with pytest.raises(ValidationError, match=r"tcp://1\.2\.3\.4:5.*dask or ray"):
        ComputeSpec(runner=runner, address="tcp://1.2.3.4:5")
