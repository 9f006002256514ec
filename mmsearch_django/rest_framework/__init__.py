"""Search for Django REST framework: a filter backend, a viewset mixin, and fields for serializers."""
