"""Roles that gauges have by their places in the network.

| word | gauges |
|---|---|
| all | every one |
| upstream | those with no other gauge upstream: the heads of the network, as the papers calibrate |
| downstream | those with no other gauge downstream |
| independent | those with no other gauge upstream or downstream |

Since water flows together and never apart, the gauges upstream are also a largest set of which none lies within the
catchment of another. Gauges on one cell have the same catchment and are not upstream of one another.
"""

from __future__ import annotations

import numpy as np

from hydrocli.arrays import Flags


def with_role(role: str, catchments: Flags) -> Flags:
    """Which of g gauges, [g], have a role; their catchments, [g, n], tell which lies in which."""
    within = catchments.astype(np.float64)
    shared, size = within @ within.T, within.sum(axis=1)
    # [i, j]: gauge i lies upstream of gauge j.
    upstream = (shared == size[:, np.newaxis]) & (size[:, np.newaxis] < size)
    head, mouth = ~upstream.any(axis=0), ~upstream.any(axis=1)
    return {"all": size >= 0, "upstream": head, "downstream": mouth, "independent": head & mouth}[role]
