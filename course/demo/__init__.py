"""The demo: a web page that searches the catalogue or a folder of photos. `python -m course demo`.

photo_search.py describes, indexes and searches; words.py reads typed words; page.py shows (Streamlit); serve.py starts.
"""
