"""The operators' cockpit: the admin's theme and front page, the pages of pods, rooms, processes and sessions, and the
verbs that steer them. It sits on top: it may import leads and pools, and neither imports it."""
