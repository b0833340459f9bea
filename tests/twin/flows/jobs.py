"""Estimators, the tuner, the transformer and the processors of SDK 2.x, as a notebook uses them."""

from __future__ import annotations

from flow import CODE, MACHINE, ROLE, SESSION, SKLEARN, XGBOOST, csv, report, table, together, uploaded
from sagemaker import image_uris
from sagemaker.analytics import ExperimentAnalytics
from sagemaker.estimator import Estimator
from sagemaker.experiments.run import Run
from sagemaker.inputs import TrainingInput
from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.pytorch import PyTorch
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner
from sagemaker.xgboost import XGBoost

USUAL = {"role": ROLE, "instance_type": MACHINE, "instance_count": 1, "sagemaker_session": SESSION}
SCRIPT = {"entry_point": "train_sklearn.py", "source_dir": str(CODE)}
MSE = [{"Name": "train:mse", "Regex": "train_mse=([0-9.]+);"}]
data = uploaded("train", table(200, 1), "twin/jobs")
held_out = uploaded("heldout", table(50, 2), "twin/jobs")
rows = uploaded("rows", table(20, 3)[:, 1:], "twin/jobs")


def sklearn(**hyperparameters):
    return SKLearn(
        **USUAL, **SCRIPT, framework_version=SKLEARN, metric_definitions=MSE, hyperparameters=hyperparameters
    )


# Everything is started first; then all are waited for.
first = sklearn(alpha=0.5, note="it's 2 words")
first.fit({"train": data}, wait=False)
booster = XGBoost(
    **USUAL,
    entry_point="train_xgboost.py",
    source_dir=str(CODE),
    framework_version=XGBOOST,
    hyperparameters={"num_round": 5, "max_depth": 3},
)
booster.fit({"train": data}, wait=False)
builtin = Estimator(
    image_uris.retrieve("xgboost", SESSION.boto_region_name, XGBOOST),
    **USUAL,
    hyperparameters={"num_round": 10, "objective": "reg:squarederror"},
)
channels = {
    "train": TrainingInput(data, content_type="text/csv"),
    "validation": TrainingInput(held_out, content_type="text/csv"),
}
builtin.fit(channels, wait=False)
broken = sklearn(alpha=-1.0)
broken.fit({"train": data}, wait=False)
torch = PyTorch(**USUAL, **SCRIPT, framework_version="2.0.0", py_version="py310")
torch.fit({"train": data}, wait=False)
tuner = HyperparameterTuner(
    sklearn(),
    "train:mse",
    {"alpha": ContinuousParameter(0.1, 100.0)},
    metric_definitions=MSE,
    objective_type="Minimize",
    max_jobs=4,
    max_parallel_jobs=2,
    random_seed=3,
    strategy="Random",
)
tuner.fit({"train": data}, wait=False)


to_split = csv("split", table(100, 1))
image = image_uris.retrieve("sklearn", SESSION.boto_region_name, SKLEARN, instance_type=MACHINE)
script = {"image_uri": image, "command": ["python3"], **USUAL}
processors = {
    "sklearn": SKLearnProcessor(framework_version=SKLEARN, **USUAL),
    "script": ScriptProcessor(env={"MINE": "yes"}, **script),
    "framework": FrameworkProcessor(SKLearn, SKLEARN, **USUAL),
}
for name, processor in processors.items():
    with_folder = name == "framework"
    processor.run(
        code="split.py" if with_folder else str(CODE / "split.py"),
        **({"source_dir": str(CODE)} if with_folder else {}),
        inputs=[ProcessingInput(source=to_split, destination="/opt/ml/processing/input/data")],
        outputs=[ProcessingOutput(output_name=n, source=f"/opt/ml/processing/{n}") for n in ("train", "test")],
        arguments=["--share", "0.8"],
        wait=False,
    )
broken_processor = ScriptProcessor(**script)
broken_processor.run(code=str(CODE / "evaluate.py"), wait=False)


def transform():
    builtin.latest_training_job.wait(logs=False)
    output = f"s3://{SESSION.default_bucket()}/twin/transformed"
    transformer = builtin.transformer(1, MACHINE, output_path=output, assemble_with="Line", accept="text/csv")
    transformer.transform(rows, content_type="text/csv", split_type="Line", wait=True, logs=False)


with Run("twin-experiment", "first", sagemaker_session=SESSION) as run:
    run.log_parameter("alpha", 0.5)
    for number in range(3):
        run.log_metric("loss", 1.0 / (number + 1), step=number)

refused = together(
    first=lambda: first.latest_training_job.wait(logs="All"),
    booster=lambda: booster.latest_training_job.wait(logs=False),
    broken=lambda: broken.latest_training_job.wait(logs=False),
    torch=lambda: torch.latest_training_job.wait(logs=False),
    tuner=tuner.wait,
    transform=transform,
    sklearn_processor=lambda: processors["sklearn"].latest_job.wait(logs=True),
    script_processor=lambda: processors["script"].latest_job.wait(logs=False),
    framework_processor=lambda: processors["framework"].latest_job.wait(logs=False),
    broken_processor=lambda: broken_processor.latest_job.wait(logs=False),
)
trials = tuner.analytics().dataframe()[["alpha", "FinalObjectiveValue", "TrainingJobName"]]
tuner_again = HyperparameterTuner.attach(tuner.latest_tuning_job.name, sagemaker_session=SESSION)
processed = {}
for name, processor in processors.items():
    described = processor.latest_job.describe()
    outputs = {item["OutputName"]: item["S3Output"]["S3Uri"] for item in described["ProcessingOutputConfig"]["Outputs"]}
    rows = {
        output: S3Downloader.read_file(f"{uri}/part.csv", sagemaker_session=SESSION).splitlines()
        for output, uri in outputs.items()
    }
    processed[name] = {
        "job": processor.latest_job.job_name,
        "status": described["ProcessingJobStatus"],
        "rows": {output: [[float(v) for v in line.split(",")] for line in lines] for output, lines in rows.items()},
        "environment": described.get("Environment", {}),
    }
report(
    sklearn={
        "job": first.latest_training_job.name,
        "model": first.model_data,
        "metrics": first.training_job_analytics.dataframe().to_dict("records"),
    },
    xgboost={"job": booster.latest_training_job.name, "model": booster.model_data},
    builtin={
        "job": builtin.latest_training_job.name,
        "model": Estimator.attach(builtin.latest_training_job.name, sagemaker_session=SESSION).model_data,
    },
    refused=refused,
    experiment=ExperimentAnalytics(experiment_name="twin-experiment", sagemaker_session=SESSION)
    .dataframe()
    .dropna(subset=["alpha"])
    .to_dict("records"),
    processors=processed,
    tuner={
        "job": tuner.latest_tuning_job.name,
        "best": tuner_again.best_training_job(),
        "trials": trials.to_dict("records"),
        "best_model": tuner.best_estimator().model_data,
    },
)
