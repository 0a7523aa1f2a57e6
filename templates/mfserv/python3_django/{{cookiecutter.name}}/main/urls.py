"""nginx hands over the whole path: the plugin's routes are in front of all others."""

from django.conf import settings
from django.urls import include, path

urlpatterns = [
    path(f"{settings.PLUGIN}/main/", include("main.hello.urls")),
    path(f"{settings.PLUGIN}/", include("main.hello.urls")),
]
