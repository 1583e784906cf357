"""The process that workers are forked from imports this: the code of all stages, with compiled passes loaded.

Otherwise every worker would load them itself, which takes a third of a second and 40 MB.
"""

import pyarrow as pa

from filters.language import Reading
from filters.language_id.identify import identify_page
from filters.signals.measures import measure
from filters.text.quick_text import quick_text
from pipelines.job.stages import STAGES, load
from pipelines.models.files import load_model
from roots import process

for row in STAGES.values():
    for code in (row.settings, row.make, row.run):
        if code:
            load(code)
process.begin()
quick_text(b"<p>text</p>")
identify_page("One line.", load_model())
measure(pa.array(["One line.\nAnd another."]), Reading("Latn"))
