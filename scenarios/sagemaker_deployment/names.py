"""The names that the scenario's files share. Everything that it makes begins with PREFIX: so it can be taken away."""

PREFIX = "flights-delay"
PIPELINE = f"{PREFIX}-retraining"
PACKAGE_GROUP = f"{PREFIX}"
PIPELINE_ROLE = f"{PREFIX}-pipeline"
APPROVER_ROLE = f"{PREFIX}-approver"
LOOP = PREFIX
DRIFT_ALARM = f"{PREFIX}-drift"
MONITOR = f"{PREFIX}-data-quality"

# The winter that the first model knows, and the summer that it meets.
WINTER = {"TrainFrom": "2013-01-01", "TrainTo": "2013-02-21", "TestFrom": "2013-02-22", "TestTo": "2013-02-28"}
SUMMER = {"TrainFrom": "2013-01-01", "TrainTo": "2013-07-15", "TestFrom": "2013-07-16", "TestTo": "2013-07-31"}

# min2. Always predicting the mean delay has an error of 2967 on the second half of July.
MSE_THRESHOLD = 2700.0
# A new model has to be better than the champion by this fraction, on the same flights.
MARGIN = 0.02
