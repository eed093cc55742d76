"""The eye: cameras found, watched, seen and proven. A process of its own, which alone loads FFmpeg, OpenCV and zeep."""
