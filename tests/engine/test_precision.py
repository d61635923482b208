import pytest
import torch

from attnkit.engine.precision import autocast, decide_precision, find_device, has_fast_bfloat16
from attnkit.errors import AttnkitError

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "meta:x", ""])
def test_a_device_that_is_not_there(name):
    with pytest.raises(AttnkitError) as caught:
        find_device(name)
    assert str(caught.value) == (
        f"--device {name}: not available here; expected auto, cpu or cuda with a working driver; "
        "see what is there with attnkit doctor"
    )


def test_devices_that_are():
    assert find_device("cpu") == CPU
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_products_are_in_the_precision_that_is_named(precision, dtype):
    assert decide_precision(precision, CPU) == precision
    linear = torch.nn.Linear(3, 2)
    with autocast(precision, CPU):
        assert linear(torch.ones(1, 3)).dtype == dtype


@pytest.mark.parametrize(("capability", "fast"), [("avx512_bf16", True), ("amx_bf16", True), ("avx2", False)])
def test_auto_takes_bfloat16_where_the_processor_computes_in_it(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert has_fast_bfloat16(CPU) is fast
    assert decide_precision("auto", CPU) == ("bfloat16" if fast else "float32")
    with autocast("auto", CPU):
        assert (torch.nn.Linear(3, 2)(torch.ones(1, 3)).dtype == torch.bfloat16) is fast
