// An old address leads to the new one, and the place on the page goes along.
const moved = document.querySelector("a");
moved.hash = location.hash;
location.replace(moved.href);
