"""Calls that are answered while somebody waits: from the queue to a warm worker and back.

``query`` is what is asked and answered, ``admission`` checks it, ``desks`` has the queues and the
worker processes, ``turns`` shares the processor among tenants. In the worker run ``attributor``,
``warm`` and ``parts``.
"""
