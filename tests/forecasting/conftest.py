"""Networks this small are slower on two threads than on one."""

from tests.models.conftest import _one_thread  # noqa: F401
