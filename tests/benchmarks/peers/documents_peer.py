"""Writes a text as a PDF with one of several programs: `python documents_peer.py GENERATOR`, JSON on standard input.

The JSON names `text`, `language`, `family` and `font` (a file), `title`, and `target`, the PDF to write. Runs in the
environment that `peers/documents.txt` describes, without this project.
"""

import html
import json
import subprocess
import sys
import tempfile
from pathlib import Path

RIGHT_TO_LEFT = {"ar", "ur", "he", "fa"}


def page_of(job, columns, running):
    """The text as HTML; `running` adds a running title and page numbers."""
    heads = (
        f'@top-center {{ content: "{job["title"]}" }} @bottom-center {{ content: counter(page) }}' if running else ""
    )
    style = f"""
        @page {{ size: A4; margin: 20mm; {heads} }}
        body {{ font-family: "{job["family"]}"; font-size: 11pt; columns: {columns}; column-gap: 8mm;
                text-align: justify; hyphens: auto; }}
        p {{ margin: 0 0 3mm 0; }}"""
    parts = "".join(f"<p>{html.escape(part)}</p>" for part in job["text"].split("\n") if part.strip())
    side = "rtl" if job["language"] in RIGHT_TO_LEFT else "ltr"
    head = f'<html lang="{job["language"]}" dir="{side}"><meta charset="utf-8"><style>{style}</style>'
    return f"<!DOCTYPE html>{head}{parts}</html>"


def chromium(job):
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(page_of(job, 2, False), encoding="utf-8")
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        command += [f"--user-data-dir={folder}/profile", f"--print-to-pdf={job['target']}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def weasyprint(job):
    from weasyprint import HTML

    HTML(string=page_of(job, 2, True)).write_pdf(job["target"])


def typst(job):
    import typst

    def quoted(text):
        return json.dumps(text, ensure_ascii=False)

    source = f"""
        #set page(paper: "a4", columns: 2, header: align(center)[#{quoted(job["title"])}], numbering: "1")
        #set text(font: {quoted(job["family"])}, lang: {quoted(job["language"])}, size: 10pt, hyphenate: true)
        #set par(justify: true)
        """
    source += "\n\n".join(f"#{quoted(part)}" for part in job["text"].split("\n") if part.strip())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "main.typ"
        file.write_text(source, encoding="utf-8")
        typst.compile(str(file), output=job["target"], font_paths=[str(Path(job["font"]).parent)])


def fpdf2(job):
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.add_font("body", fname=job["font"])
    pdf.set_font("body", size=11)
    pdf.set_text_shaping(True)
    pdf.add_page()
    align = "R" if job["language"] in RIGHT_TO_LEFT else "J"
    for part in job["text"].split("\n"):
        if part.strip():
            pdf.multi_cell(w=0, h=6, text=part, align=align, new_x="LMARGIN", new_y="NEXT")
            pdf.ln(3)
    pdf.output(job["target"])


def reportlab(job):
    """Lines drawn one by one; those from right to left in visual order with presentation forms, as of the 2000s."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(TTFont("body", job["font"]))
    canvas = Canvas(job["target"], pagesize=(595, 842))
    top, size, right = 780, 11, job["language"] in RIGHT_TO_LEFT
    y = top
    canvas.setFont("body", size)
    for part in job["text"].split("\n"):
        for line in lines_of(part, lambda held: pdfmetrics.stringWidth(held, "body", size) <= 470):
            if y < 60:
                canvas.showPage()
                canvas.setFont("body", size)
                y = top
            if right:
                canvas.drawRightString(535, y, visual(line))
            else:
                canvas.drawString(60, y, line)
            y -= 15
        y -= 6
    canvas.save()


def lines_of(text, fits):
    held = ""
    for word in text.split():
        if held and not fits(f"{held} {word}"):
            yield held
            held = word
        else:
            held = f"{held} {word}".strip()
    if held:
        yield held


def visual(line):
    from arabic_reshaper import ArabicReshaper
    from bidi.algorithm import get_display

    return get_display(ArabicReshaper({"delete_harakat": False}).reshape(line))


def pdflatex(job, encoding="OT1"):
    escapes = {
        "\\": "",
        "&": "\\&",
        "%": "\\%",
        "$": "\\$",
        "#": "\\#",
        "_": "\\_",
        "{": "",
        "}": "",
        "~": " ",
        "^": " ",
    }
    text = "".join(escapes.get(sign, sign) for sign in job["text"])
    text = text.replace("\n", "\n\n")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "main.tex"
        file.write_text(
            f"\\documentclass[twocolumn]{{article}}\\usepackage[{encoding}]{{fontenc}}"
            "\\usepackage[utf8]{inputenc}\\pagestyle{headings}\\begin{document}\n" + text + "\n\\end{document}\n",
            encoding="utf-8",
        )
        command = ["pdflatex", "-interaction=batchmode", "-output-directory", folder, str(file)]
        subprocess.run(command, capture_output=True, timeout=120)
        Path(job["target"]).write_bytes((Path(folder) / "main.pdf").read_bytes())


GENERATORS = {each.__name__: each for each in (chromium, weasyprint, typst, fpdf2, reportlab, pdflatex)}

if __name__ == "__main__":
    GENERATORS[sys.argv[1]](json.load(sys.stdin))
