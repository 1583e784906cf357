"""Documents (PDF, EPUB, DOCX, PPTX, ODT) as text: engines, repair, signs of broken text."""
