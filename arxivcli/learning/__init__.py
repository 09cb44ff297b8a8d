"""What every training needs: the loop, checkpoints, the telemetry of long runs."""
