"""The worker processes of endpoints: started, watched, replaced, scaled and ended.

``deployment`` has the seam, ``process_fleet`` the fleet of this machine.
"""
