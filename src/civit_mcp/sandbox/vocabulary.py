"""CivitAI's closed lists, as its schemas check them."""

from typing import Final

MODEL_TYPES: Final = (
    "Checkpoint", "TextualInversion", "Hypernetwork", "AestheticGradient", "LORA", "LoCon",
    "DoRA", "Controlnet", "Upscaler", "MotionModule", "VAE", "TextEncoder", "UNet", "CLIPVision",
    "Poses", "Wildcards", "Workflows", "ComfyWorkflows", "Detection", "VisionLanguage", "CLIP",
    "LLM", "Other",
)  # fmt: skip
FILE_TYPES: Final = (
    "Model", "Text Encoder", "Vision Encoder", "Pruned Model", "Negative", "Training Data", "VAE",
    "Config", "Archive", "UNet", "Diffusion Model", "CLIPVision", "ControlNet", "Workflow",
    "Upscaler", "Enhancement LoRA", "Other",
)  # fmt: skip
FILE_FORMATS: Final = (
    "SafeTensor", "PickleTensor", "GGUF", "Diffusers", "Core ML", "ONNX", "Other",
)  # fmt: skip
BASE_MODEL_TYPES: Final = ("Standard", "Inpainting", "Refiner", "Pix2Pix")
PERIODS: Final = ("Day", "Week", "Month", "Year", "AllTime")
MODEL_SORTS: Final = (
    "Highest Rated", "Most Downloaded", "Most Liked", "Most Discussed", "Most Collected",
    "Most Images", "Newest", "Oldest",
)  # fmt: skip
IMAGE_SORTS: Final = (
    "Most Reactions", "Most Comments", "Most Collected", "Newest", "Oldest", "Random",
)  # fmt: skip
COMMERCIAL_USES: Final = ("None", "Image", "RentCivit", "Rent", "Sell")
MEDIA_TYPES: Final = ("image", "video", "audio")
#: model type -> type word in an AIR; the others are `unknown`
AIR_TYPES: Final = {
    "AestheticGradient": "ag",
    "Checkpoint": "checkpoint",
    "Hypernetwork": "hypernet",
    "TextualInversion": "embedding",
    "MotionModule": "motion",
    "Upscaler": "upscaler",
    "VAE": "vae",
    "LORA": "lora",
    "DoRA": "dora",
    "LoCon": "lycoris",
    "Controlnet": "controlnet",
    "TextEncoder": "text_encoders",
    "UNet": "unet",
    "CLIPVision": "clipvision",
    "CLIP": "clip",
    "VisionLanguage": "visionlanguage",
}
#: file type of the main file -> type word that replaces the model's
AIR_FILE_TYPES: Final = {"Diffusion Model": "diffusionmodel", "UNet": "unet"}
