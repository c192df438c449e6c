"""The explorer: a local web page that shows a clip, its motion and what each mask hides. Without a run it needs no torch.

library      the videos that may be chosen: of a folder or a set, and each session's uploads
request      what a page asks for, checked: a clip, a mask
controls     the masks and their options, as controls of the page
reading      clips and thumbnails, read in processes that can be killed
read_ahead   clips that the next step of a control may need, read while the page is quiet
kernels      the compiled loops, loaded or compiled while the explorer already answers
pictures     frames, motion and masks in the form that the page draws
run_opener   opens a run's model in a thread, while the page is already there
model        with a run: reconstruction, attention, and the map of embeddings
projection   embeddings in a plane, for the map
reproduce    the command and the lines of Python that give the same view
explorer     the state that the routes share
http_request what a request carries: its explorer, session, video, and the JSON of its body
server       the routes
guard        who may ask: Host, Origin, token, session
serve        the port, the token, and the web server
page/        the page: HTML, CSS and JavaScript without a framework
"""
