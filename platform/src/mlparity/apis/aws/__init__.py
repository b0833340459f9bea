"""AWS beside SageMaker and S3: STS, IAM, CloudWatch Logs, EventBridge, and the services around them."""

from mlparity.apis.aws.services import AwsServices
from mlparity.apis.aws.table import SERVICES, ServiceEntry

__all__ = ["SERVICES", "AwsServices", "ServiceEntry"]
