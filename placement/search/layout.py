"""What the arrays of a large problem mean: ids are indexes, sites are in the order of their names.

Whole numbers are exact and rounded towards the safe side (needs up, capacities down), so whatever fits here fits in the
exact arithmetic of `placement.solution`. Money and milliseconds are floats; the plan adds them up again exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from numpy import float64, int8, int32, int64
    from numpy.typing import NDArray

    from placement.search.ways import Ways

LOAD = 10**9
"""Units of load in one request per second."""

CPUS = 10**6
"""Units of cpu in one cpu."""

BITS = 1000
"""Units of a hop's load in one bit per second."""

PRIORITY = 1000
"""Units of priority weight in one."""

NOWHERE = -1
"""No pool (built in), no shape (unplaced), no limit, no current place."""


class Pools(NamedTuple):
    """Every (site, model, variant, hardware, partition) that some stage of some workload may use, sorted by that key.

    Attributes:
        site, group: where; `group` is a hardware group of that site.
        price: currency per hour of one replica.
        throughput: units of load that one replica serves.
        service_us: time of one request, alone.
        cpus, memory, disk, eighths: what a replica takes of one node (units of cpu, bytes, bytes, eighths of ONE
            device).
        store: bytes of disk once per node that has at least one replica: all knowledge that stages on it may read
            (the safe side: two pools that read the same store on one node each count it).
    """

    site: NDArray[int32]
    group: NDArray[int32]
    price: NDArray[float64]
    throughput: NDArray[int64]
    service_us: NDArray[int64]
    cpus: NDArray[int64]
    memory: NDArray[int64]
    disk: NDArray[int64]
    eighths: NDArray[int64]
    store: NDArray[int64]


class Groups(NamedTuple):
    """Hardware groups of sites: `nodes` equal nodes each; node ids of group g are first_node[g] to first_node[g+1].

    Attributes:
        cpus, memory, disk: of one node. devices: accelerators of one node, each of eight eighths; 0 without.
    """

    site: NDArray[int32]
    first_node: NDArray[int32]
    cpus: NDArray[int64]
    memory: NDArray[int64]
    disk: NDArray[int64]
    devices: NDArray[int32]


class Shapes(NamedTuple):
    """Graphs: of pipeline p those from first[p] to first[p+1], the declared one first, then each with fallbacks.

    Stages and edges of shape s are first_stage[s]..first_stage[s+1] and first_edge[s]..first_edge[s+1]; stages are in
    an order in which each follows what it receives from.

    Attributes:
        stage_slot: index of the stage among its pipeline's stages and fallbacks (`slot`).
        stage_waits: 1 when its time counts towards the latency.
        edge_source, edge_target: position of a stage within the shape (0..), or NOWHERE for the input (as source) and
            the answer (as target): both are at the origin.
        edge_flow: which of the pipeline's flows this is, for the routes that are open to it (`Works.mask`).
        edge_bytes: of one request. edge_share: fraction of requests. edge_counts: 1 when it counts towards the latency.
    """

    first: NDArray[int32]
    first_stage: NDArray[int32]
    first_edge: NDArray[int32]
    stage_slot: NDArray[int32]
    stage_waits: NDArray[int8]
    edge_source: NDArray[int32]
    edge_target: NDArray[int32]
    edge_flow: NDArray[int32]
    edge_bytes: NDArray[int64]
    edge_share: NDArray[float64]
    edge_counts: NDArray[int8]


class Works(NamedTuple):
    """Workloads, sorted by id.

    Slots of workload w are first_slot[w]..first_slot[w+1] of every array over slots: its pipeline's stages and then its
    fallbacks, in the order of declaration.

    Attributes:
        pipeline, origin: ids. rate: requests per second. priority: units of weight.
        limit_us: latency objective; NOWHERE when there is none.
        wait: stage time = service_us x wait of the pipeline's utilisation.
        wanted: by slot, units of load that the stage asks of a pool (rate x share / utilisation, rounded up).
        kind: workloads of one kind have the same pipeline, remote options and masks.
        own_first: by slot (+1), range of own_site/own_pool: the options at the workload's own origin.
        kind_slot, kind_flow: by kind (+1), where its slots and flows begin in remote_first and in mask.
        remote_first: by kind and slot (+1), range of remote_site/remote_pool: options at other sites; the origin's own
            name may be among them and must be skipped (own options stand above). Sorted by (site, pool).
        own_pool, remote_pool: NOWHERE where the stage is built in.
        mask: by kind and flow, which set of open hops applies: the first argument of `ways.route`.
    """

    pipeline: NDArray[int32]
    origin: NDArray[int32]
    rate: NDArray[float64]
    priority: NDArray[int64]
    limit_us: NDArray[int64]
    wait: NDArray[float64]
    first_slot: NDArray[int64]
    wanted: NDArray[int64]
    kind: NDArray[int32]
    own_first: NDArray[int64]
    own_site: NDArray[int32]
    own_pool: NDArray[int32]
    kind_slot: NDArray[int64]
    kind_flow: NDArray[int64]
    remote_first: NDArray[int64]
    remote_site: NDArray[int32]
    remote_pool: NDArray[int32]
    mask: NDArray[int32]


class Spreads(NamedTuple):
    """Limits on how much of a pipeline one domain (site, country or operator) may take at one slot, and stages apart.

    Attributes:
        pipeline, slot, by: which stage, and which row of `domain` tells the domains apart.
        most: units of load (rate alone, LOAD per request per second) that one domain may serve.
        apart_pipeline, apart_slot, apart_other, apart_by: two slots of one workload that may not share a domain.
        domain: [by, site], id of the domain.
    """

    pipeline: NDArray[int32]
    slot: NDArray[int32]
    by: NDArray[int32]
    most: NDArray[int64]
    apart_pipeline: NDArray[int32]
    apart_slot: NDArray[int32]
    apart_other: NDArray[int32]
    apart_by: NDArray[int32]
    domain: NDArray[int32]


class Layout(NamedTuple):
    """A large problem as arrays; see each part.

    Attributes:
        hop_capacity: by directed hop id (`ways.hops` writes them), units that flows may fill (0.7 of the bandwidth).
        ways: routes, asked through `ways.route` and `ways.hops`.
    """

    pools: Pools
    groups: Groups
    shapes: Shapes
    works: Works
    spreads: Spreads
    hop_capacity: NDArray[int64]
    ways: Ways


class Placing(NamedTuple):
    """What a search chose.

    Attributes:
        shape: by workload, id of its graph; NOWHERE when it is unplaced.
        site, pool: by slot of `Works`, where each stage of that graph is; NOWHERE for slots that do not run (and pool
            NOWHERE where the stage is built in).
    """

    shape: NDArray[int32]
    site: NDArray[int32]
    pool: NDArray[int32]


class Packing(NamedTuple):
    """Where replicas lie: one row per replica, sorted by pool, node, device.

    Attributes:
        pool: id. node: id within all groups. device: of the node; NOWHERE when it takes no accelerator.
    """

    pool: NDArray[int32]
    node: NDArray[int32]
    device: NDArray[int32]
