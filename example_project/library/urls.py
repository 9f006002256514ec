from django.urls import path

from example_project.library import views

app_name = "library"
urlpatterns = [
    path("", views.search, name="search"),
    path("thumbnails/<int:pk>/<str:version>", views.thumbnail, name="thumbnail"),
    path("media/<path:name>", views.original, name="original"),
]
