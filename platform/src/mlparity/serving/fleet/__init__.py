"""The processes behind endpoints: model servers that are started, watched, restarted, scaled and drained."""
