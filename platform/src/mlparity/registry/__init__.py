"""Model groups, versions, and the audit of their approval, for every vendor API."""

from mlparity.registry.models import Approval, ModelGroup, ModelVersion
from mlparity.registry.repository import ModelRegistry

__all__ = ["Approval", "ModelGroup", "ModelRegistry", "ModelVersion"]
