import neuron_size
import pytest
import requests

URL = "https://minnie.microns-daf.com/segmentation/api/v1/table/minnie3_v1/node/7/leaves"


def test_a_neuron_has_a_size(cave_responses, save_token):
    cave_responses.protect(URL, json={"leaf_ids": [1, 2, 3]})
    save_token(cave_responses.token)
    assert neuron_size.size(7) == 3


def test_without_a_token_it_says_where_to_put_one(cave_responses):
    cave_responses.protect(URL, json={"leaf_ids": []})
    with pytest.raises(neuron_size.NotLoggedIn, match=r"cave-secret\.json"):
        neuron_size.size(7)


def test_an_expired_token_is_reported_too(cave_responses, save_token):
    cave_responses.protect(URL, json={"leaf_ids": []})
    save_token(cave_responses.token)
    cave_responses.revoke()
    with pytest.raises(neuron_size.NotLoggedIn):
        neuron_size.size(7)


def test_without_permission_it_fails(cave_responses, save_token):
    cave_responses.protect(URL, json={"leaf_ids": []}, dataset="minnie65_phase3")
    save_token(cave_responses.accept(permissions={"minnie65_public": ["view"]}))
    with pytest.raises(requests.HTTPError, match="403"):
        neuron_size.size(7)
