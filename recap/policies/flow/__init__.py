"""A small language-conditioned flow-matching policy, registered with LeRobot as `recap_flow`.

Importing this package registers the type, so stock LeRobot tools run its checkpoints with
``--discover_packages_path=recap.policies.flow``.
"""

from recap.policies.flow.configuration_recap_flow import RecapFlowConfig

__all__ = ["RecapFlowConfig"]
