"""Pipelines that need nothing but their components: they run anywhere. kfp reads the annotations themselves."""

# mypy: disable-error-code="untyped-decorator"

from typing import Any, List  # noqa: UP035 - kfp's components import typing's own

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

_IMAGE = "python:3.11"  # only a name: the steps run in this environment
_component = dsl.component(base_image=_IMAGE, install_kfp_package=False)


@_component
def prepare(train: Output[Dataset], test: Output[Dataset]) -> None:
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True).frame
    table.iloc[::5].to_csv(test.path, index=False)
    table.drop(index=table.index[::5]).to_csv(train.path, index=False)


@_component
def fit(train: Input[Dataset], model: Output[Model]) -> None:
    import joblib
    import pandas as pd
    from sklearn.linear_model import Ridge

    table = pd.read_csv(train.path)
    joblib.dump(Ridge(alpha=0.1).fit(table.drop(columns="target"), table["target"]), model.path)


@_component
def evaluate(model: Input[Model], test: Input[Dataset]) -> float:
    import joblib
    import pandas as pd
    from sklearn.metrics import mean_squared_error

    table = pd.read_csv(test.path)
    predicted = joblib.load(model.path).predict(table.drop(columns="target"))
    return float(mean_squared_error(table["target"], predicted))


@_component
def register(model: Input[Model], mse: float, registered: Output[Model]) -> None:
    import shutil

    shutil.copyfile(model.path, registered.path)
    registered.metadata["mse"] = mse


@_component
def nothing(item: int) -> None:
    pass


def five_steps(*, cached: bool) -> Any:
    """Prepare, fit, evaluate, a condition, register."""

    @dsl.pipeline(name="bench-sklearn")
    def pipeline(threshold: float = 6000.0) -> None:
        prepared = prepare().set_caching_options(cached)
        trained = fit(train=prepared.outputs["train"]).set_caching_options(cached)
        model = trained.outputs["model"]
        evaluated = evaluate(model=model, test=prepared.outputs["test"]).set_caching_options(cached)
        with dsl.If(evaluated.output <= threshold):
            register(model=model, mse=evaluated.output).set_caching_options(cached)

    return pipeline


@dsl.pipeline(name="bench-loop")
def loop(items: List[int]) -> None:  # noqa: UP006 - as kfp has it
    with dsl.ParallelFor(items) as item:
        nothing(item=item).set_caching_options(False)
