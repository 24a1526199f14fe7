"""The rooms of the package, from the command down; a room imports only rooms on lower lines."""

KERNELS = (
    "extend",
    "train",
    "compile",
    "loops",
    "simd",
    "tape",
    "reference",
    "data",
    "optimizers",
    "losses",
    "model",
    "base",
)

# The command above, the mathematics and the system below; rooms on one line do not import each other. The two packages
# that hand on names of their rooms are above these rooms.
LINES = [
    {"docs"},
    {"sgdbench"},
    {"cli", "pytest_plugin"},
    {"commands", "api"},
    {"report", "compare"},
    {"engine", "analysis", "timing", "plots"},
    {"charts"},
    {"study", "tables", "estimators"},
    {"store", "data"},
    {"system"},
    {"kernels"},
    *({f"kernels.{room}"} for room in KERNELS),
]

HEIGHT = {room: -line for line, rooms in enumerate(LINES) for room in rooms}
