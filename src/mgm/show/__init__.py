"""Pictures of motion and masks (`figures`, `filmstrip`, `pictures`), previews, and the report as one self-contained page."""
