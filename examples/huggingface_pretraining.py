"""Train transformers' VideoMAE on a folder of videos, with motion-guided masks in place of its random tubes.

    python examples/huggingface_pretraining.py videos/ --steps 20
    python examples/huggingface_pretraining.py videos/ --mask tube --steps 20
    python examples/huggingface_pretraining.py videos/ --model MCG-NJU/videomae-base     # start from published weights

Needs: pip install '.[train,hf]' in the checkout. A small model with random weights is the default, small enough for a laptop.
"""

import argparse

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import VideoMAEConfig, VideoMAEForPreTraining

import mgm
from mgm.video.container.metadata import read_video_info
from mgm.video.scan.find import find_videos

FRAMES, STRIDE = 16, 4
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class Clips(Dataset):
    """An ordinary data set: a clip of every video, with its motion beside it."""

    def __init__(self, folder: str, size: int, follow_motion: bool) -> None:
        self.paths = find_videos([folder])
        self.size = size
        self.motion = "auto" if follow_motion else None  # auto: the stream's vectors, or optical flow without them

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict:
        path = self.paths[index]
        free = max(read_video_info(path).frames - (FRAMES - 1) * STRIDE, 1)
        start = int(torch.randint(free, ()))
        clip = mgm.read_clip(path, start=start, frames=FRAMES, stride=STRIDE, size=self.size, motion=self.motion)
        # (T, C, H, W), as transformers expects it
        pixels = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 255
        return {"pixel_values": (pixels - MEAN) / STD, "motion": clip.motion}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="videos, labelled or not")
    parser.add_argument("--mask", default="mgm", choices=mgm.list_masks(), help="mask of the hidden tokens")
    parser.add_argument("--ratio", type=float, default=0.75, help="share of hidden tokens")
    parser.add_argument("--model", help="a folder or a name on the Hub; default: a small model with random weights")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()

    torch.manual_seed(0)
    model = VideoMAEForPreTraining.from_pretrained(args.model) if args.model else VideoMAEForPreTraining(small())
    config = model.config
    side = config.image_size // config.patch_size
    grid = (FRAMES // config.tubelet_size, side, side)

    clips = Clips(args.folder, config.image_size, mgm.masks.build_mask(args.mask).uses_motion)
    masked = mgm.MaskedClips(clips, args.mask, grid=grid, ratio=args.ratio)  # <- the one line that mgm adds
    loader = DataLoader(masked, args.batch, shuffle=True, drop_last=True, num_workers=args.workers)
    if not len(loader):
        raise SystemExit(f"{args.folder}: {len(clips)} videos, expected at least a batch of {args.batch}")

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05)
    step = epoch = 0
    while step < args.steps:
        masked.set_epoch(epoch)
        for batch in loader:
            loss = model(**{name: value.to(device) for name, value in batch.items()}).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            hidden = int(batch["bool_masked_pos"][0].sum())
            print(
                f"step {step}: loss {loss.item():.4f}, {hidden} of {grid[0] * grid[1] * grid[2]} tokens hidden",
                flush=True,
            )
            if step == args.steps:
                break
        epoch += 1


def small() -> VideoMAEConfig:
    """A model that learns on a laptop: 64 x 64 pixels in patches of 8."""
    return VideoMAEConfig(
        image_size=64,
        patch_size=8,
        num_frames=FRAMES,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        decoder_hidden_size=64,
        decoder_num_hidden_layers=2,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=256,
    )


if __name__ == "__main__":
    main()
