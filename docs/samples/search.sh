# A text; filters of the view as ever
curl --get https://example.org/api/assets/ --data-urlencode "search=two giraffes" --data fields=visual

# A picture, alone or with a text
curl https://example.org/api/assets/search/ --form image=@photo.jpg --form avoid=people

# What is similar to asset 1
curl https://example.org/api/assets/1/similar/
