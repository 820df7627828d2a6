import pytest
from pydantic import ValidationError

from tasks.evaluation.spec import EvaluationSpec, PortfolioSpec


def test_spec_survives_json_and_refuses_what_makes_no_sense():
    spec = EvaluationSpec(portfolio=PortfolioSpec(rebalance_every=5), seed=7)
    assert EvaluationSpec(calibration_sessions=None).calibration_sessions is None
    with pytest.raises(ValidationError):
        EvaluationSpec(calibration_sessions=19)
    assert EvaluationSpec.model_validate_json(spec.model_dump_json()) == spec
    for wrong in ({"top_share": 0.6}, {"capital": 0}, {"rebalance_every": 0}, {"leverage": 2}):
        with pytest.raises(ValidationError):
            PortfolioSpec(**wrong)
