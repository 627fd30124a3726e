"""Speed and memory of this library beside the existing implementation of OpenEnv, measured alike."""
