"""MiniGrid as tensors: a batched simulator whose every quantity stays on the device."""
