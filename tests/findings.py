"""What `logitkit diagnose` calls its findings, where several tests expect one."""

from logitkit.diagnose import _tells

TWICE = _tells.CAUSES["double softmax"].title
SIGMOID_TWICE = _tells.CAUSES["double sigmoid"].title
