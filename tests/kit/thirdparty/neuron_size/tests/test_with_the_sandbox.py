import neuron_size


def test_the_neurons_of_the_sandbox_have_a_size(cave_sandbox, cave_token, save_token):
    save_token(cave_token)
    sizes = [
        neuron_size.size(root, "sandbox", cave_sandbox.data_server) for root in cave_sandbox.roots
    ]
    assert sum(sizes) == len(cave_sandbox.supervoxels)


def test_my_own_page_gets_the_sizes_and_no_token(cave_token, save_token, foreign_server):
    save_token(cave_token)
    neuron_size.publish({"7": 3}, foreign_server.url)
    assert foreign_server.requests[0].body == b'{"7": 3}'
    foreign_server.assert_no_token()


def test_a_redirect_that_leaves_cave_takes_no_token_along(
    cave_sandbox, cave_token, save_token, foreign_server
):
    save_token(cave_token)
    neuron_size.download(f"{cave_sandbox.data_server}/redirect?to={foreign_server.url}")
    foreign_server.assert_no_token()
