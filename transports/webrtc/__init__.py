"""WebRTC media and data over aiortc: one audio track each way and one data channel. Knows no session and no Realtime message."""
