"""The run's configuration: the stages' specifications put together; values are in deploy/."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import UsageError, near
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.spec import EvaluationSpec
from tasks.features.spec import FeatureSpec
from tasks.ingest.spec import ProviderSpec, QualitySpec, SampleSpec, UniverseSpec
from tasks.lake.target_spec import TargetSpec
from tasks.training.baseline_spec import BaselineSpec
from tasks.training.compute_spec import ComputeSpec
from tasks.training.network_spec import NetworkSpec, RecurrentSpec
from tasks.training.spec import TrainingSpec
from tasks.training.tuning_spec import SECTIONS, TuningSpec
from tasks.windows.spec import SplitSpec, WindowSpec


class RunConfig(BaseModel):
    """Everything a run may choose. The defaults train on the embedded sample."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        "sample",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$",
        description="Models of one name follow one another as champion.",
    )
    provider: ProviderSpec = Field(SampleSpec(), description="Where bars come from.")
    fallback: ProviderSpec | None = Field(
        None, description="Asked for the symbols that the provider fails to serve."
    )
    universe: UniverseSpec = Field(UniverseSpec(), description="Which symbols, which exchange.")
    quality: QualitySpec = Field(
        QualitySpec(), description="When a bar is refused or held, and when a run stops."
    )
    features: FeatureSpec = Field(FeatureSpec(), description="What a network sees of a bar.")
    target: TargetSpec = Field(TargetSpec(), description="What is forecast.")
    window: WindowSpec = Field(WindowSpec(), description="The window a network sees.")
    splits: SplitSpec = Field(SplitSpec(), description="The folds.")
    network: NetworkSpec = Field(RecurrentSpec(), description="The network.")
    training: TrainingSpec = Field(TrainingSpec(), description="How it is fitted.")
    compute: ComputeSpec = Field(ComputeSpec(), description="Who carries out the fits.")
    baselines: BaselineSpec = Field(BaselineSpec(), description="The null models beside it.")
    evaluation: EvaluationSpec = Field(EvaluationSpec(), description="How it is judged.")
    gate: GateSpec = Field(GateSpec(), description="How it is held against the champion.")
    tuning: TuningSpec = Field(
        TuningSpec(), description="The study of `nightcast tune`; no other run looks at it."
    )

    def recipe(self) -> dict[str, Any]:
        """Returns what a model is known by.

        That is all but who computes it, what a study would try, and whom it has to beat.
        """
        return self.model_dump(mode="json", exclude={"compute", "tuning", "gate"})

    @model_validator(mode="after")
    def _spans_outlast_the_horizon(self) -> Self:
        target, longest = self.target, self.target.longest
        name = "target.horizon" if longest == target.horizon else "the longest of target.also"
        for span in ("fit", "stop", "calibrate", "test"):
            length = getattr(self.splits, span)
            if length <= longest:
                raise ValueError(
                    f"splits.{span}={length} is not longer than {name}={longest}, so "
                    f"purging leaves none of it; raise it above {longest}."
                )
        return self

    @model_validator(mode="after")
    def _further_horizons_can_be_judged(self) -> Self:
        # Known now; the evaluation would find it only after all the fits.
        tested = self.splits.folds * self.splits.test
        if self.target.also and tested < 2 * self.target.longest + 1:
            raise ValueError(
                f"splits.folds={self.splits.folds} × splits.test={self.splits.test} are "
                f"{tested} test sessions, too few to judge the horizon {self.target.longest}; "
                f"test on at least {2 * self.target.longest + 1}, or shorten target.also."
            )
        return self

    @model_validator(mode="after")
    def _has_the_benchmark_that_the_target_needs(self) -> Self:
        # The sample brings its own.
        missing = getattr(self.provider, "benchmark", "its own") is None
        if self.target.excess == "benchmark" and missing:
            raise ValueError(
                f"target.excess='benchmark' needs one, and provider.benchmark of the kind "
                f"{self.provider.kind} is not set; name it there, or take excess='universe'."
            )
        return self

    @property
    def needing_sectors(self) -> list[str]:
        """The settings, with their values, that the membership must name sectors for."""
        asked, most = self.network.covariates, self.evaluation.portfolio.max_sector_weight
        said = [f"network.covariates={list(asked)}"] if "sector" in asked else []
        limit = [] if most is None else [f"evaluation.portfolio.max_sector_weight={most}"]
        return said + limit

    @model_validator(mode="after")
    def _has_a_file_for_the_sectors_that_it_needs(self) -> Self:
        if self.needing_sectors and self.universe.file is None:
            raise ValueError(
                f"{' and '.join(self.needing_sectors)} cannot do without sectors, and without "
                "universe.file nothing names any; set it to a membership file with a column "
                "`sector`, or leave 'sector' out of the covariates and the limit empty."
            )
        return self

    @model_validator(mode="after")
    def _takes_the_values_of_its_study(self) -> Self:
        if self.tuning == TuningSpec():
            return self
        known = [f"{s}.{name}" for s in SECTIONS for name in type(getattr(self, s)).model_fields]
        for key, dimension in self.tuning.space.items():
            if key not in known:
                raise ValueError(f"tuning.space names {key!r}: no such key.{near(key, known)}")
            for value in dimension.ends():
                try:
                    with_values(self, {key: value})
                except UsageError as error:
                    raise ValueError(f"tuning.space cannot try {key}={value!r}: {error}") from None
        _refuse_scores_that_do_not_compare(self)
        return self


def _refuse_scores_that_do_not_compare(config: RunConfig) -> None:
    tuning, head = config.tuning, config.network.head
    if tuning.metric == "mse" and (head != "mean" or "network.head" in tuning.space):
        raise ValueError(
            f"tuning.metric='mse' is of a mean, and network.head={head!r}, or one that the space "
            "names, has none; take 'ic' or 'rank_ic'."
        )
    of_the_loss = ("network.head", "training.losses") if config.training.metric == "loss" else ()
    moved = [k for k in ("training.metric", *of_the_loss) if k in tuning.space]
    if moved and tuning.pruner != "none":
        raise ValueError(
            f"tuning.space varies {', '.join(moved)}, so the stop scores of trials do not "
            f"compare (training.metric={config.training.metric!r}), and tuning.pruner="
            f"{tuning.pruner!r} compares them; set tuning.pruner='none'."
        )


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Returns a configuration with other values, such as {"training.epochs": 5}, and no study.

    Raises:
        UsageError: A value may not stand there, or not beside the others.
    """
    plain = config.model_dump(exclude={"tuning"})
    for key, value in values.items():
        section, _, name = key.partition(".")
        plain[section][name] = value
    try:
        changed = RunConfig.model_validate(plain)
    except ValidationError as error:
        raise UsageError("; ".join(_explain(dict(e)) for e in error.errors())) from None
    return changed


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Returns the configuration in a TOML file, with `key=value` overrides laid over it.

    Args:
        path: A TOML file; None takes the defaults (the embedded sample).
        overrides: Such as `training.epochs=5`; a value is read as TOML, else as text.

    Raises:
        UsageError: The file cannot be read, or a key or value is wrong; near names are offered.
    """
    values = _read(path) if path else {}
    for override in overrides:
        _lay_over(values, override)
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        source = str(path) if path else "the configuration"
        lines = [_explain(dict(e)) for e in error.errors()]
        raise UsageError(f"{source} is not valid:\n" + "\n".join(f"  {s}" for s in lines)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(
            f"Configuration {str(path)!r} cannot be read ({error.strerror}); "
            "name a TOML file such as those in deploy/."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}. Mend that line.") from error


def _lay_over(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key.strip():
        raise UsageError(
            f"--set {override!r} is not key=value; write such as --set training.epochs=5."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    place = values
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise UsageError(f"--set {override!r}: {parent!r} is a value, not a section.")
    place[last] = value


def _explain(error: dict[str, Any]) -> str:
    path = [str(p) for p in error["loc"]]
    # The network's kind need not be written, and is no part of a key.
    key = ".".join(p for i, p in enumerate(path) if i != 1 or path[0] != "network")
    if error["type"] == "extra_forbidden":
        siblings = _fields_beside(path)
        hint = near(path[-1], siblings) or f" Known here: {', '.join(siblings)}."
        return f"{key}: there is no such key (value met: {error['input']!r}).{hint}"
    if error["type"] == "union_tag_not_found":
        kinds = sorted(m.model_fields["kind"].default for m in _models_in(ProviderSpec))
        return f"{key}: no kind is given; add {key}.kind, one of {', '.join(kinds)}."
    message = error["msg"].removeprefix("Value error, ")
    met = error["input"]
    # Our own messages name the value; a long one would bury the sentence.
    told = error["type"] == "value_error" or isinstance(met, dict | BaseModel)
    shown = "" if told else f" (value met: {met!r:.80})"
    return f"{key or 'configuration'}: {message}{shown}"


def _fields_beside(path: list[str]) -> list[str]:
    """Returns the fields of the model that holds the last part of `path`."""
    models: list[Any] = [RunConfig]
    for part in path[:-1]:
        if len(models) > 1:
            # A discriminated union puts its kind into the path, as in `provider.files.pathh`.
            models = [m for m in models if m.model_fields["kind"].default == part]
        elif part in models[0].model_fields:
            models = _models_in(models[0].model_fields[part].annotation)
    return sorted({name for model in models for name in model.model_fields})


def _models_in(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _models_in(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [m for a in get_args(annotation) for m in _models_in(a)]
    return (
        [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
    )
