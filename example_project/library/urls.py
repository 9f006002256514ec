from django.urls import path

from example_project.library import views

app_name = "library"
urlpatterns = [
    path("", views.search, name="search"),
    path("thumbnails/<int:pk>/<str:version>", views.thumbnail, name="thumbnail"),
    path("examples/<str:key>", views.example, name="example"),
    path("media/<path:name>", views.original, name="original"),
]
