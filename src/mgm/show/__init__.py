"""What a run looks like: pictures of motion and masks (`figures`, `filmstrip`), one self-contained page (`report`)."""
