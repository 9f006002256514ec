from django.urls import path
from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.queryset import search
from wagtail import hooks
from wagtail.images.views.images import IndexView


class ImagesView(IndexView):
    def search_queryset(self, queryset):
        if not self.is_searching:
            return queryset
        try:
            return search(queryset, self.search_query)
        except MmsearchError:  # The embedder is away.
            return super().search_queryset(queryset)


@hooks.register("register_admin_urls", order=-1)  # Before Wagtail's own, whose place it takes.
def images():
    return [
        path("images/", ImagesView.as_view()),
        path("images/results/", ImagesView.as_view(results_only=True)),
    ]
