import requests

api = "https://example.org/api/assets/"

found = requests.get(api, {"search": "two giraffes", "min_closeness": 0.4}).json()
for asset in found["results"]:
    print(asset["title"], asset["closeness"], asset["match"])
if not found["results"]:
    print(found["report"]["message"], found["report"]["nearest"])

with open("photo.jpg", "rb") as photo:
    answer = requests.post(f"{api}search/", files={"image": photo}, data={"fields": "visual"})
answer.raise_for_status()  # 400 names what is wrong, 413 and 415 are about the picture, 503 says when to come back
found = answer.json()
print("to be kept:", found["address"])
while True:
    for asset in found["results"]:
        print(asset["title"], asset["links"]["similar"])
    if not found["next"]:
        break
    found = requests.get(found["next"]).json()
