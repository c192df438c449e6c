from mgm.data.annotations import VideoItem as VideoItem
from mgm.data.annotations import VideoSet as VideoSet
from mgm.data.annotations import load_set as load_set
from mgm.data.annotations.summary import summarise_set as summarise_set
from mgm.data.loading.masking import MaskedClips as MaskedClips
from mgm.data.loading.masking import collate_masks as collate_masks
from mgm.data.shards.write import pack_set as pack_set
