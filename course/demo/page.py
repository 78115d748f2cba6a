"""The page of the demo, a Streamlit script: `python -m course demo` starts it. All names are shown as plain text."""

import gc
import os
import re

import numpy as np
import streamlit as st

from course.demo import photo_search, words

N_ANSWERS, N_OFFERED = 20, 8
BY_PICK, BY_UPLOAD, BY_WORDS = "a photo of the library", "an image of mine", "words"
INTRODUCTION = "Pick one of them, upload an image or type words: the photos nearest to it come first."
HELP = {
    "Method": "What turns a photo into a row of numbers. Photos whose rows are near each other count as alike.",
    "of words": "What brings words and photos into one space: two small networks (towers), or a linear map. "
    "Both are learned from photos with captions; towers find more among photos like those.",
    "Dimensions": "How many numbers of the row are compared, the most telling first: fewer are faster, and find less.",
    "Index": "How the nearest rows are looked for. The exact index compares with all of them, the others with some.",
}


def plain(text):
    """Any text so that Streamlit's Markdown shows it as it is, on one line.

    >>> plain("*a* <b>")
    '\\\\*a\\\\* \\\\<b\\\\>'
    """
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])", r"\\\1", " ".join(str(text).split()))


@st.cache_resource(show_spinner="Reading the library ...")
def the_library():
    """The library, all of it ready: read once for all visitors."""
    split, backbone = os.environ.get("COURSE_DEMO_SPLIT") or None, os.environ["COURSE_DEMO_BACKBONE"]
    library = photo_search.Library(os.environ["COURSE_DEMO_COLLECTION"], split, backbone)
    for method in [*library.methods, *words.METHODS]:
        library.space(method)
    gc.collect()
    gc.freeze()  # Streamlit collects garbage after each run: it need not look through torch and the encoder each time
    return library


def main():
    st.set_page_config("Find photos", layout="wide", initial_sidebar_state="collapsed")
    library = the_library()
    st.title("Find photos", anchor=False)
    st.write(plain(f"Library: {library.photos.name}, {len(library):,} photos. {INTRODUCTION}"))
    if len(library.broken):
        with st.expander(f"{len(library.broken)} files could not be opened and are left out"):
            st.text("\n".join(f"{row.file_name}: {row.cause}" for row in library.broken.head(50).itertuples()))
    how = st.radio("Search by", [BY_PICK, BY_UPLOAD, BY_WORDS], horizontal=True, key="how")
    typed = upload = None
    if how == BY_WORDS:
        typed = st.text_input("Words, then Enter", placeholder="red shoes on a wooden floor", key="typed")
    elif how == BY_UPLOAD:
        upload = st.file_uploader("Image (JPEG, PNG, WebP, GIF, BMP, TIFF; at most 20 MB)", key="upload")
    method, d, index = settings(library, how)
    if how == BY_PICK:
        row = picked(library)
        ask(library, lambda: library.by_row(row, method, d, index, N_ANSWERS), "Its nearest neighbours")
    elif how == BY_UPLOAD and upload is not None:
        uploaded(library, upload, method, d, index)
    elif how == BY_WORDS:
        small(about_words(library))
        if typed:
            by_words = lambda: library.by_words(typed, method, d, index, N_ANSWERS)  # noqa: E731
            ask(library, by_words, "The photos that fit best", ", larger for photos that are near to every text")


def settings(library, how):
    """What the visitor chose: method, dimensions, index."""
    first, second, third = st.columns(3)
    if how == BY_WORDS:
        method = first.selectbox("Method", library.words().methods, key="method of words", help=HELP["of words"])
    else:
        last = len(library.methods) - 1
        method = first.selectbox("Method", library.methods, last, key="method", help=HELP["Method"])
    with st.spinner("Describing the library; later visits find it done ..."):
        dimensions = library.dimensions(method)
    last = len(dimensions) - 1
    d = second.selectbox("Dimensions", dimensions, last, key=f"d {method}", help=HELP["Dimensions"])
    index = third.selectbox("Index", library.indexes(method, d), key="index", help=HELP["Index"])
    return method, d, index


def picked(library):
    """The row of the photo that was chosen; others are offered."""
    if "row" not in st.session_state:
        st.session_state.update(row=0, page=0)
    everything = np.random.default_rng(0).permutation(len(library))
    start = st.session_state.page * N_OFFERED % len(library)
    with st.container(horizontal=True):
        for row in everything[start : start + N_OFFERED].tolist():
            with st.container(width=100):
                st.image(library.thumbnail(row, 96), width=96)
                st.button("Search", key=f"pick {row}", on_click=st.session_state.update, kwargs={"row": row})
        st.button("Offer others", on_click=st.session_state.update, kwargs={"page": st.session_state.page + 1})
    st.subheader("The query", anchor=False)
    show_photo(library, st.session_state.row, 130)
    return st.session_state.row


def uploaded(library, upload, method, d, index):
    data = upload.getvalue()
    try:
        photo_search.opened(data)
    except ValueError as error:
        st.error(plain(f"This file cannot be searched with: {error}."))
        return
    st.subheader("The query", anchor=False)
    st.image(photo_search.small(data, 160), width=160)
    ask(library, lambda: library.by_image(data, method, d, index, N_ANSWERS), "The photos most like it")


def about_words(library):
    """What words mean here: whose captions they were learned from, and by which encoder."""
    learned = library.words()
    if not learned.is_borrowed:
        said = f"Words are understood as in the captions of {learned.learned_from}."
    else:
        n = learned.n_captioned
        said = f"Only {n} of these photos have captions, too few" if n else "These photos have no captions"
        said += (
            " to learn from. Words are understood as in the captions of the drawn catalogue: clothes, colours and "
            "patterns; of other things the answers are a guess. Among real photos of clothes the linear map found more "
            "than the towers."
        )
    if learned.encoder == words.COUNTS:
        said += f" The sentence encoder {words.ENCODER} is not installed, so other words than those are unknown."
    return said


def small(text):
    """Any text in small letters, as dark as the others: those of `st.caption` are too pale to read with ease."""
    st.write(f":small[{plain(text)}]")


def ask(library, search, title, corrected=""):
    """Show the answers of a search, or the sentence that says what is wrong with the query."""
    try:
        answers = search()
    except ValueError as error:
        st.error(plain(f"{str(error)[:1].upper()}{str(error)[1:]}."))
        return
    st.subheader(title, anchor=False)
    described = (
        f"The query was described in {answers.describe_ms:.1f} ms and" if answers.describe_ms else "The query was"
    )
    facts = [
        f"{described} searched for in {answers.search_ms:.2f} ms.",
        f"Of the exact {len(answers.rows)} nearest, {answers.recall:.0%} are here.",
        f"The index takes {answers.index_bytes / 1e3:,.0f} kB. In brackets: the distance, 1 - cosine{corrected}.",
    ]
    st.write(plain(" ".join(facts)))
    with st.container(horizontal=True):
        for rank, (row, distance) in enumerate(zip(answers.rows, answers.distances, strict=True), 1):
            with st.container(width=170):
                show_photo(library, row, 150, f"{rank}. {{}} ({distance:.3f})")


def show_photo(library, row, width, form="{}"):
    st.image(library.thumbnail(row, width), width=width)
    small(form.format(library.name(row)[:60]))


main()
