"""An open container: where its bytes are, its streams, packets, keyframes and metadata."""
