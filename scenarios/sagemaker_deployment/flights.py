"""Flights as requests: what the endpoints are asked, and what the model itself says of the same flights."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlparity.scenarios import Platform
from scenarios.flights.data import flights_files
from scenarios.sagemaker_deployment.jobs.features import FEATURES, TARGET, flights_between


@dataclass(frozen=True)
class Flights:
    """Some flights with their delays."""

    table: pd.DataFrame

    @classmethod
    def between(cls, first: str, last: str) -> Flights:
        """Every flight from ``first`` to ``last`` that arrived."""
        return cls(flights_between(flights_files().flights.parent, first, last))

    def sample(self, count: int, *, seed: int) -> Flights:
        """``count`` of them, by chance."""
        return Flights(self.table.sample(count, random_state=seed))

    def complete(self) -> Flights:
        """Those with nothing missing."""
        return Flights(self.table.dropna())

    def incomplete(self) -> Flights:
        """Those without a weather record."""
        return Flights(self.table[self.table[FEATURES].isna().any(axis=1)])

    def rows(self) -> list[str]:
        """One line of CSV a flight, as the endpoint takes it; what is missing is empty."""
        return str(self.table[FEATURES].to_csv(index=False, header=False)).splitlines()

    @property
    def delays(self) -> pd.Series[float]:
        """Minutes."""
        return self.table[TARGET]


def own_predictions(platform: Platform, package: str, flights: Flights) -> list[float]:
    """What the package's model says, without any endpoint."""
    import xgboost

    container = platform.client("sagemaker").describe_model_package(ModelPackageName=package)
    url = container["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    body: Any = platform.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    with tarfile.open(fileobj=io.BytesIO(body.read())) as packed:
        member = packed.extractfile("xgboost-model")
        platform.check(member is not None, f"{url} holds no xgboost-model")
        assert member is not None
        booster = xgboost.Booster()
        booster.load_model(bytearray(member.read()))
    return [float(value) for value in booster.predict(xgboost.DMatrix(flights.table[FEATURES].to_numpy()))]
