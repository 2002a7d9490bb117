"""The threat model: who attacks, by what, what stands in the way, and the tests that prove it.

What is worth protecting: the user's catalog and files, CivitAI keys and access tokens, the
account behind a key, the other callers' share of the server, and the model's trust in our words.

Who attacks, by what they can reach:

    a peer       opens connections to the port and has no token
    a page       runs in a browser on the machine, and can make that browser send requests
    a holder     has a token, and wants more than it allows or all of the server for themselves
    a stranger   wrote names, texts and pictures that CivitAI passes on
    an upstream  answers in CivitAI's place, or is CivitAI on a bad day

Not in the model: who can read the server's memory or its token file, another user of the same
token, and a proxy that passes on a Host it was not asked for.

Every attack below is tried in the file beside this one that holds its test. A test of an attack
that is not in the model fails here, and so does an attack without a test.
"""

import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest

HERE: Final = Path(__file__).parent
Attacker = Literal["peer", "page", "holder", "stranger", "upstream"]


@dataclass(frozen=True)
class Threat:
    """One attack: who tries it, what they do, what stops them, and where that is tried."""

    by: Attacker
    attack: str
    stopped_by: str
    tests: tuple[str, ...]


MODEL: Final = (
    # --- who has no token
    Threat(
        "peer", "comes without a token, or with a wrong one, on any route",
        "the gate is around all routes, those that are not there too; the list is generated",
        ("test_every_route_refuses_who_has_no_token_or_a_wrong_one",
         "test_what_is_nearly_a_token_is_none"),
    ),
    Threat(
        "peer", "guesses a token letter by letter from how long a refusal takes",
        "digests are compared, each with every known one, in constant time",
        ("test_every_token_is_compared_with_every_known_one_in_constant_time",),
    ),
    Threat(
        "peer", "binds the server to the network without anybody noticing",
        "no address beyond loopback without a token and a name",
        ("test_the_world_is_not_served_by_accident",),
    ),
    Threat(
        "peer", "spells an address so that the gate and the router read it differently",
        "the gate does not care for addresses",
        ("test_another_spelling_of_an_address_gets_around_nothing",
         "test_an_address_with_a_slash_at_its_end_is_the_same_address",
         "test_no_spelling_leads_away_from_the_scheme_in_front_of_a_proxy"),
    ),
    Threat(
        "peer", "smuggles a second request into the body or the head of a first",
        "one parser, one end of a body, and a token for each request of a connection",
        ("test_two_ways_to_say_where_a_body_ends_do_not_smuggle_a_request",
         "test_requests_in_a_row_each_need_their_own_token",
         "test_a_length_that_is_no_length_is_refused",
         "test_two_host_headers_are_refused",
         "test_odd_request_lines_are_answered_or_hung_up_on",
         "test_a_websocket_is_not_spoken"),
    ),
    Threat(
        "peer", "drips (slow loris): a head, a body, or nothing at all on many connections",
        "deadlines for head and body; the oldest connection without a token makes room",
        ("test_senders_that_drip_do_not_keep_others_waiting",
         "test_a_head_that_never_ends_is_hung_up_on",
         "test_a_body_that_drips_is_given_up_at_one_deadline",
         "test_connections_without_a_token_make_room_for_others",
         "test_who_is_refused_keeps_no_connection"),
    ),
    Threat(
        "peer", "pours: a head or a body without an end, or one that unpacks to more",
        "limits on both before anything reads them; nothing is unpacked",
        ("test_a_head_that_is_too_large_is_refused",
         "test_many_headers_that_fit_are_no_trouble",
         "test_a_body_that_says_it_is_too_large_is_refused_on_every_route_before_it_is_read",
         "test_a_body_that_does_not_say_how_large_it_is_is_cut_off_on_every_route",
         "test_a_body_that_is_packed_is_not_unpacked"),
    ),
    Threat(
        "peer", "fills the log",
        "a refusal is no news",
        ("test_peers_without_a_token_write_nothing_into_the_log",),
    ),
    # --- a page in a browser on the same machine
    Threat(
        "page", "has its own name resolve to this machine (DNS rebinding)",
        "the Host must be one of ours, on every route, before anything else",
        ("test_dns_rebinding_is_refused_on_every_route",),
    ),
    Threat(
        "page", "calls from a strange origin, with or without a preflight or a second header",
        "the Origin must be listed or be the server's own, on every route",
        ("test_a_strange_page_is_refused_with_a_right_token",
         "test_a_second_origin_header_does_not_hide_behind_a_right_one",
         "test_a_preflight_is_answered_for_listed_pages_alone",
         "test_a_page_may_not_read_anything_where_no_page_is_listed",
         "test_a_page_that_came_from_the_server_itself_may_call",
         "test_a_refused_host_or_page_leaves_the_connection_of_a_stream_usable"),
    ),
    Threat(
        "page", "belongs to another program on this machine (another port of localhost)",
        "another port is another origin, also where no token is asked for",
        ("test_a_page_of_another_program_on_this_machine_may_not_write",),
    ),
    Threat(
        "page", "sends a form, which needs no preflight",
        "a form's content type opens no session",
        ("test_a_form_of_a_page_opens_no_session",),
    ),
    # --- who has a token
    Threat(
        "holder", "puts the token into an address, where logs and histories keep it",
        "refused, even beside a right one in a header",
        ("test_a_token_in_the_address_is_refused_even_beside_a_right_one",),
    ),
    Threat(
        "holder", "calls what the token or the server does not allow, by another door",
        "one check behind every door: transports, eras, resources, REST",
        ("test_what_is_switched_off_is_neither_listed_nor_called_by_any_door",
         "test_a_token_for_browsing_gets_nothing_else_by_any_door",
         "test_what_one_token_may_not_another_may",
         "test_who_may_not_read_the_catalog_may_not_hear_of_its_changes"),
    ),
    Threat(
        "holder", "uses the session or the stream of another token",
        "what a token opens answers to that token alone, whatever the tokens are called",
        ("test_a_session_answers_only_to_the_token_that_opened_it",
         "test_two_tokens_of_one_name_are_two_all_the_same",
         "test_the_messages_of_a_stream_are_taken_from_its_owner_alone",
         "test_a_session_with_an_open_stream_stays_its_owners_however_long_it_is_silent"),
    ),
    Threat(
        "holder", "writes and denies it",
        "a line for every write, with the token's name and the change's id",
        ("test_every_write_leaves_a_line_that_says_who",),
    ),
    Threat(
        "holder", "leaves the folders by an argument, an address or a resource's URI",
        "paths are checked where they are made; over HTTP only the catalog's own folder is open",
        ("test_no_argument_of_any_tool_leads_out_of_the_folders",
         "test_no_export_or_import_over_http_leads_out_or_into_the_catalogs_own_places",
         "test_callers_over_http_reach_no_file_outside_the_catalogs_folder",
         "test_no_uri_of_a_resource_leads_out_of_the_folders",
         "test_no_word_in_an_address_of_the_admin_routes_leads_out",
         "test_a_header_cannot_be_written_through_an_argument"),
    ),
    Threat(
        "holder", "sends JSON that is deep, broken or in the wrong place",
        "a client error on every transport, and no trace in the log",
        ("test_deep_and_broken_bodies_are_client_errors_on_every_transport",
         "test_a_body_on_the_admin_routes_is_not_even_looked_at"),
    ),
    Threat(
        "holder", "opens thousands of sessions",
        "a limit per token and one for all, counted while they are being opened",
        ("test_three_thousand_requests_for_sessions_open_a_thousand_and_stop_nobody",
         "test_one_token_cannot_use_up_the_sessions_of_the_others",
         "test_a_header_that_only_streams_have_hides_no_session_from_the_count",
         "test_an_end_of_a_session_that_is_refused_makes_no_room",
         "test_a_refusal_of_another_era_makes_no_room",
         "test_a_session_that_the_transport_has_lost_makes_room",
         "test_asking_for_all_sessions_in_the_same_moment_gets_no_more",
         "test_sessions_that_nobody_uses_make_room"),
    ),
    Threat(
        "holder", "holds connections open without using them",
        "idle connections make room, the oldest first",
        ("test_idle_connections_of_one_token_make_room_for_others",),
    ),
    Threat(
        "holder", "holds streams and calls open without an end",
        "a limit per token and one for all, on every transport",
        ("test_a_token_opens_so_many_streams_and_no_more_and_others_open_theirs",
         "test_all_streams_together_are_bounded_too",
         "test_requests_that_never_end_are_counted_and_others_are_served",
         "test_calls_of_the_admin_routes_are_counted_as_well",
         "test_calls_that_hold_no_connection_are_bounded_as_well",
         "test_a_notification_is_taken_from_who_may_ask_nothing_more"),
    ),
    Threat(
        "holder", "sends large bodies at once, or leaves in the middle of one",
        "bytes under way are bounded, per token and for all; who leaves is forgotten",
        ("test_bodies_that_never_end_take_so_much_memory_and_no_more",
         "test_who_leaves_in_the_middle_of_a_body_leaves_no_trace"),
    ),
    Threat(
        "holder", "listens to everything, to nonsense, without ever reading, or for a moment",
        "bounded subscriptions and requests, a deadline for who is told, and nothing left behind",
        ("test_who_never_reads_is_forgotten_and_the_others_are_told",
         "test_one_connection_holds_so_many_subscriptions_and_no_more",
         "test_a_subscription_to_a_novel_is_refused",
         "test_a_stream_that_wants_to_hear_of_everything_is_refused",
         "test_a_stream_that_brings_much_else_along_is_refused",
         "test_who_leaves_while_it_begins_to_listen_is_not_listened_for",
         "test_a_stream_that_asks_for_nonsense_is_a_client_error_and_no_crash"),
    ),
    # --- who writes what CivitAI tells
    Threat(
        "stranger", "names a model, a file or a tag so that a path leads elsewhere",
        "names are made safe where an entry is made; nothing leaves the models root",
        ("test_no_name_that_civitai_tells_leads_a_catalog_entry_out_of_the_models_root",),
    ),
    Threat(
        "stranger", "writes instructions for the model (prompt injection)",
        "strangers' text stays in the fields made for it, cleaned and cut; elsewhere in quotes",
        ("test_strangers_words_stay_in_the_fields_made_for_them",
         "test_what_a_model_takes_for_ours_is_the_same_after_reading_strangers",
         "test_what_a_caller_writes_comes_back_in_quotes_as_well"),
    ),
    # --- who answers in CivitAI's place
    Threat(
        "upstream", "sends questions and keys to another host, to loopback, or in circles",
        "no redirect leaves the host that was asked, and their number is bounded",
        ("test_no_redirect_leads_a_question_or_a_key_to_another_place",
         "test_a_chain_that_ends_elsewhere_and_a_loop_end_here",
         "test_a_redirect_takes_no_callers_key_along_either"),
    ),
    Threat(
        "upstream", "fails, or repeats what it was sent, so that a secret shows",
        "secrets are masked in every sentence, log line and answer",
        ("test_no_secret_shows_however_a_question_fails",
         "test_what_upstream_sends_back_of_our_own_is_masked",
         "test_an_error_of_civitai_is_told_in_quotes"),
    ),
)  # fmt: skip


def _tried() -> list[str]:
    """The tests beside this file."""
    return [
        node.name
        for path in sorted(HERE.glob("test_*.py"))
        if path != Path(__file__)
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("threat", MODEL, ids=lambda threat: threat.attack)
def test_every_attack_of_the_model_is_tried(threat: Threat) -> None:
    assert threat.tests
    assert not set(threat.tests) - set(_tried())


def test_every_attack_that_is_tried_is_in_the_model_once() -> None:
    named = Counter(name for threat in MODEL for name in threat.tests)

    assert named == Counter(_tried())
