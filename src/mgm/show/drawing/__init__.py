"""A figure as shapes, drawn as pixels (PNG), as SVG or as PDF.

Pillow writes a PDF of pixels only; matplotlib, which writes shapes, brings ten packages and a look of its own.
"""
