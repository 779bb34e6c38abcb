"""The console: operators' pages, rendered here from what the store and the gateway know. What they
change they ask of `/admin/v1`, as any operator's program does.
"""
